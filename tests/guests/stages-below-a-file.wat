;; Stages a file, and another one as if the first were a folder.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\00\05\00\00\04\00\00\00\80\04\00\00\02\00\00\00")
(data (i32.const 0x480) "\10\05\00\00\0a\00\00\00\00\05\00\00\04\00\00\00\00\00\00\00\20\05\00\00\05\00\00\00\00\05\00\00\04\00\00\00\00\00\00\00")
(data (i32.const 0x500) "make")
(data (i32.const 0x510) "notes/a.md")
(data (i32.const 0x520) "notes")
