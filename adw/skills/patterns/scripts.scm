; What is seldom meant so in JavaScript and TypeScript; `found` is where it stands.

((binary_expression operator: ["==" "!="] right: (_) @right) @found
  (#not-eq? @right "null")
  (#set! message "`==` and `!=` convert what they compare: use `===` or `!==`"))

((debugger_statement) @found
  (#set! message "a `debugger` statement was left"))

((call_expression function: (identifier) @name) @found
  (#eq? @name "eval")
  (#set! message "`eval` runs whatever the text holds"))

((catch_clause body: (statement_block . "{" . "}")) @found
  (#set! message "an error is caught and passed over without a word"))

((variable_declaration "var") @found
  (#set! message "`var` is known beyond its block: use `const` or `let`"))

((throw_statement [(string) (number) (template_string)]) @found
  (#set! message "what is thrown is no Error, and says nothing of where"))

((assignment_expression left: (identifier) @left right: (identifier) @right) @found
  (#eq? @left @right)
  (#set! message "it is assigned to itself"))
