//! `$((...))`: integers of 64 bits, the operators of C by their precedence, variables by name.

/// Why an expression has no value.
pub type ArithmeticError = String;

/// Computes an expression in which `$` has been expanded. `variable` gives the value of a name, and takes a new one.
pub fn evaluate(
    text: &str,
    variable: &mut dyn FnMut(&str, Option<i64>) -> Result<i64, ArithmeticError>,
) -> Result<i64, ArithmeticError> {
    let mut reader = Reader { text, variable, is_skipped: false, depth: 0 };
    reader.skip_blanks();
    if reader.text.is_empty() {
        return Ok(0);
    }
    let value = reader.assignment()?;
    if reader.text.is_empty() { Ok(value) } else { Err("arithmetic syntax error".to_owned()) }
}

struct Reader<'a, 'v> {
    text: &'a str,
    variable: &'v mut dyn FnMut(&str, Option<i64>) -> Result<i64, ArithmeticError>,
    /// Whether what is read decides nothing any more, as the right of `0 && `.
    is_skipped: bool,
    depth: u32,
}

/// Operators between two values: the loosest first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Reader<'_, '_> {
    fn skip_blanks(&mut self) {
        self.text = self.text.trim_start();
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.text.strip_prefix(text) {
            Some(rest) => {
                self.text = rest;
                self.skip_blanks();
                true
            }
            None => false,
        }
    }

    fn name(&self) -> Option<&str> {
        let len = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.text.len());
        let name = &self.text[..len];
        (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
    }

    fn assignment(&mut self) -> Result<i64, ArithmeticError> {
        if let Some(name) = self.name().map(str::to_owned) {
            let after = self.text[name.len()..].trim_start();
            let operators = ["=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="];
            let found = operators.into_iter().find(|operator| {
                after.strip_prefix(operator).is_some_and(|rest| *operator != "=" || !rest.starts_with('='))
            });
            if let Some(operator) = found {
                self.text = after[operator.len()..].trim_start();
                let right = self.assignment()?;
                let value = match operator.strip_suffix('=') {
                    Some("") | None => right,
                    Some(operator) => {
                        let left = (self.variable)(&name, None)?;
                        self.apply(operator, left, right)?
                    }
                };
                return if self.is_skipped { Ok(value) } else { (self.variable)(&name, Some(value)) };
            }
        }
        self.conditional()
    }

    fn conditional(&mut self) -> Result<i64, ArithmeticError> {
        let condition = self.level(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let before = self.is_skipped;
        self.is_skipped = before || condition == 0;
        let yes = self.assignment()?;
        if !self.eat(":") {
            return Err("arithmetic syntax error".to_owned());
        }
        self.is_skipped = before || condition != 0;
        let no = self.conditional()?;
        self.is_skipped = before;
        Ok(if condition != 0 { yes } else { no })
    }

    fn level(&mut self, level: usize) -> Result<i64, ArithmeticError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        loop {
            let operator = operators.iter().find(|operator| self.is_operator(operator));
            let Some(operator) = operator else { return Ok(left) };
            self.eat(operator);
            let before = self.is_skipped;
            self.is_skipped = before || (*operator == "&&" && left == 0) || (*operator == "||" && left != 0);
            let right = self.level(level + 1)?;
            left = self.apply(operator, left, right)?;
            self.is_skipped = before;
        }
    }

    /// Whether an operator stands here, and no longer one that begins like it.
    fn is_operator(&self, operator: &str) -> bool {
        let Some(rest) = self.text.strip_prefix(operator) else { return false };
        match operator {
            "|" => !rest.starts_with('|'),
            "&" => !rest.starts_with('&'),
            "<" | ">" => !rest.starts_with(operator),
            _ => true,
        }
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Result<i64, ArithmeticError> {
        let shift = u32::try_from(right & 63).unwrap_or(0);
        Ok(match operator {
            "||" => i64::from(left != 0 || right != 0),
            "&&" => i64::from(left != 0 && right != 0),
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<<" => left.wrapping_shl(shift),
            ">>" => left.wrapping_shr(shift),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            _ if right == 0 && self.is_skipped => 0,
            _ if right == 0 => return Err("divide by zero".to_owned()),
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        })
    }

    fn unary(&mut self) -> Result<i64, ArithmeticError> {
        self.depth += 1;
        if self.depth > 200 {
            return Err("expression is nested too deep".to_owned());
        }
        let value = if self.eat("!") {
            i64::from(self.unary()? == 0)
        } else if self.eat("-") {
            self.unary()?.wrapping_neg()
        } else if self.eat("+") {
            self.unary()?
        } else if self.eat("~") {
            !self.unary()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<i64, ArithmeticError> {
        if self.eat("(") {
            let value = self.assignment()?;
            return if self.eat(")") { Ok(value) } else { Err("arithmetic syntax error".to_owned()) };
        }
        if let Some(name) = self.name().map(str::to_owned) {
            self.eat(&name);
            return (self.variable)(&name, None);
        }
        let len = self.text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.text.len());
        let digits = &self.text[..len];
        let value = number(digits).ok_or_else(|| "arithmetic syntax error".to_owned())?;
        self.text = self.text[len..].trim_start();
        Ok(value)
    }
}

/// A number as C writes it: decimal, `0x` or a leading zero for octal.
pub fn number(digits: &str) -> Option<i64> {
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i64::from_str_radix(digits, 16).ok()
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8).ok()
    } else {
        digits.parse().ok()
    }
}
