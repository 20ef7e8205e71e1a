;; Components in components, as deep as a parser may go down.
(component (component (component (component (component (component (component (component (component (component (component (component (component (component (component (component
  (core module (func (export "f") (loop (br 0))))))))))))))))))))
