;; Extism: imports a function that no host has.
(import "extism:host/user" "job_shout" (func $job_shout (param i64) (result i64)))
(func (export "prompt") (result i32) (drop (call $job_shout (i64.const 0))) (i32.const 0))
