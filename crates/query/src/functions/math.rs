//! Numbers: what DataFusion has under no name or another meaning.

use datafusion::arrow::array::ArrayRef;

use crate::error::Error;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Bigint, Double};

macro_rules! bitwise {
    ($name:literal, $operation:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Bigint, Bigint],
                variadic: false,
                returns: Returns::Bigint,
                body: |call| {
                    let operation: fn(i64, i64) -> i64 = $operation;
                    call.map_bigint(|row| {
                        Ok(Some(operation(
                            call.bigint(0).value(row),
                            call.bigint(1).value(row),
                        )))
                    })
                },
            }],
        }
    };
}

macro_rules! test_double {
    ($name:literal, $test:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Double],
                variadic: false,
                returns: Returns::Boolean,
                body: |call| {
                    let test: fn(f64) -> bool = $test;
                    call.map_boolean(|row| Ok(Some(test(call.double(0).value(row)))))
                },
            }],
        }
    };
}

macro_rules! constant {
    ($name:literal, $value:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[],
                variadic: false,
                returns: Returns::Double,
                body: |call| call.map_double(|_| Ok(Some($value))),
            }],
        }
    };
}

pub(super) static FUNCTIONS: &[Definition] = &[
    bitwise!("bitwise_and", |a, b| a & b),
    bitwise!("bitwise_or", |a, b| a | b),
    bitwise!("bitwise_xor", |a, b| a ^ b),
    bitwise!("bitwise_left_shift", |a, b| if (0..64).contains(&b) {
        a << b
    } else {
        0
    }),
    bitwise!("bitwise_right_shift", |a, b| if (0..64).contains(&b) {
        ((a as u64) >> b) as i64
    } else {
        0
    }),
    Definition {
        name: "bitwise_not",
        overloads: &[Overload {
            params: &[Bigint],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| call.map_bigint(|row| Ok(Some(!call.bigint(0).value(row)))),
        }],
    },
    test_double!("is_nan", f64::is_nan),
    test_double!("is_finite", f64::is_finite),
    test_double!("is_infinite", f64::is_infinite),
    constant!("nan", f64::NAN),
    constant!("infinity", f64::INFINITY),
    constant!("e", std::f64::consts::E),
    Definition {
        name: "truncate",
        overloads: &[Overload {
            params: &[Double],
            variadic: false,
            returns: Returns::Double,
            body: |call| call.map_double(|row| Ok(Some(call.double(0).value(row).trunc()))),
        }],
    },
    Definition {
        name: "width_bucket",
        overloads: &[Overload {
            params: &[Double, Double, Double, Bigint],
            variadic: false,
            returns: Returns::Bigint,
            body: width_bucket,
        }],
    },
    Definition {
        name: "from_base",
        overloads: &[Overload {
            params: &[Param::Varchar, Bigint],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    let text = call.text(0).value(row);
                    let radix = radix(call.bigint(1).value(row))?;
                    i64::from_str_radix(text, radix)
                        .map(Some)
                        .map_err(|_| invalid(format!("Not a valid base-{radix} number: {text}")))
                })
            },
        }],
    },
    Definition {
        name: "to_base",
        overloads: &[Overload {
            params: &[Bigint, Bigint],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                call.map_text(|row| {
                    Ok(Some(in_base(
                        call.bigint(0).value(row),
                        radix(call.bigint(1).value(row))?,
                    )))
                })
            },
        }],
    },
];

fn radix(radix: i64) -> Result<u32, Error> {
    match u32::try_from(radix) {
        Ok(radix @ 2..=36) => Ok(radix),
        _ => Err(invalid("Radix must be between 2 and 36")),
    }
}

fn in_base(number: i64, radix: u32) -> String {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit((rest % u64::from(radix)) as u32, radix));
        rest /= u64::from(radix);
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push('-');
    }
    digits.iter().rev().collect()
}

/// The number of the bucket of equal width that a value falls into, 0 below and one more above them.
fn width_bucket(call: &Call) -> Result<ArrayRef, Error> {
    call.map_bigint(|row| {
        let [value, low, high] = [0, 1, 2].map(|index| call.double(index).value(row));
        let count = call.bigint(3).value(row);
        if count <= 0 {
            return Err(invalid("bucketCount must be greater than 0"));
        }
        if low == high || ![value, low, high].iter().all(|number| number.is_finite()) {
            return Err(invalid("bounds must be finite and cannot equal each other"));
        }
        let (from_low, width) = if low < high {
            (value - low, high - low)
        } else {
            (low - value, low - high)
        };
        Ok(Some(match from_low {
            below if below < 0.0 => 0,
            above if above >= width => count + 1,
            inside => (inside / width * count as f64).floor() as i64 + 1,
        }))
    })
}
