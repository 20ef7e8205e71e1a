;; Its summary has a megabyte.
(func (export "gantry:phase/describe@0.9.0#describe") (result i32)
  (drop (memory.grow (i32.const 20)))
  (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 1048576))
  (i32.const 1024))
(data (i32.const 1024) "\00\05\00\00\0c\00\00\00\10\05\00\00\05\00\00\00\00\00\01\00\00\00\10\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
(data (i32.const 0x500) "long-summary")
(data (i32.const 0x510) "1.0.0")
