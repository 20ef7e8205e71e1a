;; Logs a long line ten thousand times, then answers no task.
(import "gantry:phase/job@0.9.0" "log" (func $log (param i32 i32 i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (local $lines i32)
  (memory.fill (i32.const 2048) (i32.const 0x78) (i32.const 5000))
  (loop $again
    (call $log (i32.const 1) (i32.const 2048) (i32.const 5000))
    (local.set $lines (i32.add (local.get $lines) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $lines) (i32.const 10000))))
  (i32.const 1024))
