;; Extism: logs 1,000 lines of 6,000 bytes.
(import "extism:host/env" "log_info" (func $log_info (param i64)))
(func (export "prompt") (result i32) (local $line i32)
  (memory.fill (i32.const 16384) (i32.const 120) (i32.const 6000))
  (loop $more
    (call $log_info (call $put (i32.const 16384)))
    (local.set $line (i32.add (local.get $line) (i32.const 1)))
    (br_if $more (i32.lt_u (local.get $line) (i32.const 1000))))
  (call $say (i32.const 1024)) (i32.const 0))
(data (i32.const 1024) "{\"ok\":[]}\00")
