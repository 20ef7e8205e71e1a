;; Answers well, and never ends cleaning up.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(func (export "cabi_post_gantry:phase/prompt@0.9.0#prompt") (param i32) (loop $again (br $again)))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\00\05\00\00\04\00\00\00")
(data (i32.const 0x500) "make")
