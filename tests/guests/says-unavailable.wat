;; Says that it should be asked again later.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\01\00\00\00\01\00\00\00\00\05\00\00\05\00\00\00")
(data (i32.const 0x500) "later")
