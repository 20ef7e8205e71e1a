;; Says with a megabyte that it failed itself.
(func (export "gantry:phase/prompt@0.9.0#prompt") (result i32)
  (drop (memory.grow (i32.const 20)))
  (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 1048576))
  (i32.const 1024))
(data (i32.const 1024) "\01\00\00\00\02\00\00\00\00\00\01\00\00\00\10\00")
