;; Logs what isn't UTF-8.
(import "gantry:phase/job@0.9.0" "log" (func $log (param i32 i32 i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $log (i32.const 1) (i32.const 0x510) (i32.const 4))
  (i32.const 1024))
(data (i32.const 0x510) "\ff\fe\c0\80")
