;; Expects four million files without a name, which cost it nothing.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (drop (memory.grow (i32.const 550)))
  (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\00\05\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\09\3d\00")
(data (i32.const 0x500) "make")
