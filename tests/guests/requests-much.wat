;; Requests a hundred thousand capabilities.
(func (export "gantry:phase/describe@0.9.0#describe") (result i32)
  (drop (memory.grow (i32.const 20)))
  (i32.const 1024))
(data (i32.const 1024) "\10\05\00\00\0d\00\00\00\30\05\00\00\05\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\a0\86\01\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 0x510) "requests-much")
(data (i32.const 0x530) "1.0.0")
