;; Its summary has line ends and escape codes.
(func (export "gantry:phase/describe@0.9.0#describe") (result i32)
  (i32.const 1024))
(data (i32.const 1024) "\10\05\00\00\10\00\00\00\30\05\00\00\05\00\00\00\40\05\00\00\14\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 0x510) "summary-of-lines")
(data (i32.const 0x530) "1.0.0")
(data (i32.const 0x540) "fine\0a\1b[31mERROR fake")
