;; Calls a function of its table that isn't there.
(table $none 4 funcref)
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (call_indirect $none (result i32) (i32.const 3)))
