;; Exports `describe`, and it is no function of the interface.
(component
  (core module $m (func (export "f") (result i32) (i32.const 7)))
  (core instance $i (instantiate $m))
  (func $f (result u32) (canon lift (core func $i "f")))
  (instance $described (export "describe" (func $f)))
  (export "gantry:phase/describe@0.9.0" (instance $described)))
