;; Waits for a clock for 100 ms, which is time in functions of the host, and answers no task.
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $block (call $after (i64.const 100000000)))
  ;; Another call of the host, so that one whose time is over doesn't slip out.
  (drop (call $after (i64.const 0)))
  (i32.const 1024))
