;; Runs into `unreachable`.
(func $deep unreachable)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (call $deep) (i32.const 0))
