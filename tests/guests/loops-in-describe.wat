;; Never says what it is.
(func (export "gantry:phase/describe@0.9.0#describe") (result i32)
  (loop $again (br $again))
  (i32.const 0))
