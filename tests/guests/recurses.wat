;; Calls itself for ever.
(func $down (param i64 i64 i64 i64) (result i64)
  (i64.add (call $down (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (local.get 3)))
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (i32.wrap_i64 (call $down (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))))
