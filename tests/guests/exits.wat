;; Ends its process, which is the host's.
(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $exit (i32.const 0))
  (i32.const 1024))
