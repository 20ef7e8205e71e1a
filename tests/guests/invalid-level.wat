;; Logs at a level that there isn't.
(import "gantry:phase/job@0.9.0" "log" (func $log (param i32 i32 i32)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $log (i32.const 77) (i32.const 0x500) (i32.const 4))
  (i32.const 1024))
(data (i32.const 0x500) "make")
