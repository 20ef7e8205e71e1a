;; Stages a file under a name by which the host writes its own.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32) (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\04\00\00\00\00\05\00\00\04\00\00\00\80\04\00\00\01\00\00\00")
(data (i32.const 0x480) "\10\05\00\00\16\00\00\00\00\05\00\00\04\00\00\00\00\00\00\00")
(data (i32.const 0x500) "make")
(data (i32.const 0x510) "src/.gantry-0011223344")
