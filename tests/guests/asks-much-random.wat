;; Asks for all the random bytes that there are.
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $random (i64.const -1) (i32.const 2048))
  (i32.const 1024))
