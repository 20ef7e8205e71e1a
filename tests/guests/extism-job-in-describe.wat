;; Extism: asks for a file where there is no job.
(import "extism:host/user" "job_stat" (func $job_stat (param i64) (result i64)))
(func (export "describe") (result i32)
  (drop (call $job_stat (call $put (i32.const 1024)))) (call $say (i32.const 256)) (i32.const 0))
(data (i32.const 1024) "{\"path\":\"a.txt\"}\00")
