;; Asks the host for a name; while the host asks for room to put it, it asks again.
(import "gantry:phase/job@0.9.0" "name" (func $name (param i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (call $name (i32.const 2048))
  (i32.const 8192))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call $name (i32.const 2048))
  (i32.const 1024))
