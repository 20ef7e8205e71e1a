;; Extism: a step with a parameter.
(func (export "prompt") (param i32) (result i32) (local.get 0))
