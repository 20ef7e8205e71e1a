;; Its site's first page is a file of the machine.
(func (export "gantry:phase/deploy@0.9.0#deploy") (result i32) (i32.const 1024))
(data (i32.const 1024) "\00\00\00\00\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\05\00\00\03\00\00\00\00\05\00\00\03\00\00\00\00\00\00\00\00\00\00\00\20\05\00\00\00\00\00\00\40\05\00\00\0b\00\00\00")
(data (i32.const 0x500) "fog")
(data (i32.const 0x520) "")
(data (i32.const 0x540) "/etc/passwd")
