;; Divides by zero.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
