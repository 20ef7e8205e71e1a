;; Extism: traps two functions deep.
(func $deep unreachable)
(func (export "prompt") (result i32) (call $deep) (i32.const 0))
