;; Imports a function of `job` that came later.
(import "gantry:phase/job@0.9.2" "shout" (func $shout))
(func (export "gantry:phase/prompt@0.9.2#prompt") (result i32) (call $shout) (i32.const 1024))
