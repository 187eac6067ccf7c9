//! Prints one line. The smallest complete program: what is left is the cost of starting a task.
//!
//! Arguments: none. Exit: 0. Fuel: a thousand. Memory: 1.1 MiB.

fn main() {
    println!("hello");
}
