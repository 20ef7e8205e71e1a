;; Extism: stages a file beside the workspace.
(func (export "prompt") (result i32) (call $say (i32.const 1024)) (i32.const 0))
(data (i32.const 1024) "{\"ok\":[{\"name\":\"make\",\"prompt\":\"Make it.\",\"stage\":[{\"path\":\"../key.md\",\"content\":\"\"}]}]}\00")
