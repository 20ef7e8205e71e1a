;; Waits for a clock for ever in its own test.
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(func (export "gantry:phase/self-test@0.9.0#self-test") (result i32)
  (loop $again
    (call $block (call $after (i64.const -1)))
    (br $again))
  (i32.const 0))
