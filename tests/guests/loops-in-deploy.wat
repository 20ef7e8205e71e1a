;; Never comes back from `deploy`.
(func (export "gantry:phase/deploy@0.9.0#deploy") (result i32)
  (loop $again (br $again))
  (i32.const 0))
