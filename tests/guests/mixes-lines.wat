;; Its steps are of one line of the interface, and what it imports of another.
(import "gantry:phase/job@0.10.0" "log" (func $log (param i32 i32 i32)))
(func (export "gantry:phase/describe@0.9.0#describe") (result i32) (call $described))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
