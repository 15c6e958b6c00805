//! Text: `split_part`, `substr`, `concat`, `replace` and others with Trino's answers for edges.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::concat as concat_arrays;
use datafusion::arrow::datatypes::DataType;

use crate::error::Error;
use crate::types::sql_name;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Any, Bigint, Varbinary, Varchar};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "concat",
        overloads: &[Overload {
            params: &[Any, Any],
            variadic: true,
            returns: Returns::Computed(concat_type),
            body: concat,
        }],
    },
    Definition {
        name: "length",
        overloads: &[
            Overload {
                params: &[Varchar],
                variadic: false,
                returns: Returns::Bigint,
                body: |call| {
                    call.map_bigint(|row| Ok(Some(call.text(0).value(row).chars().count() as i64)))
                },
            },
            Overload {
                params: &[Varbinary],
                variadic: false,
                returns: Returns::Bigint,
                body: |call| {
                    call.map_bigint(|row| {
                        Ok(Some(call.args[0].as_binary::<i32>().value(row).len() as i64))
                    })
                },
            },
        ],
    },
    Definition {
        name: "substr",
        overloads: &[
            Overload {
                params: &[Varchar, Bigint],
                variadic: false,
                returns: Returns::Varchar,
                body: substr,
            },
            Overload {
                params: &[Varchar, Bigint, Bigint],
                variadic: false,
                returns: Returns::Varchar,
                body: substr,
            },
        ],
    },
    Definition {
        name: "replace",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: replace,
            },
            Overload {
                params: &[Varchar, Varchar, Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: replace,
            },
        ],
    },
    Definition {
        name: "split",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::VarcharArray,
                body: split,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint],
                variadic: false,
                returns: Returns::VarcharArray,
                body: split,
            },
        ],
    },
    Definition {
        name: "split_part",
        overloads: &[Overload {
            params: &[Varchar, Varchar, Bigint],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                call.map_text(|row| {
                    let index = call.bigint(2).value(row);
                    let index = usize::try_from(index).ok().filter(|index| *index > 0);
                    let index = index.ok_or_else(|| invalid("Index must be greater than zero"))?;
                    let delimiter = call.text(1).value(row);
                    Ok(pieces(call.text(0).value(row), delimiter)
                        .nth(index - 1)
                        .map(str::to_owned))
                })
            },
        }],
    },
    Definition {
        name: "strpos",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::Bigint,
                body: strpos,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint],
                variadic: false,
                returns: Returns::Bigint,
                body: strpos,
            },
        ],
    },
    Definition {
        name: "codepoint",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    let mut characters = call.text(0).value(row).chars();
                    match (characters.next(), characters.next()) {
                        (Some(only), None) => Ok(Some(i64::from(u32::from(only)))),
                        _ => Err(invalid("Input string must be a single character string")),
                    }
                })
            },
        }],
    },
    Definition {
        name: "levenshtein_distance",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    Ok(Some(
                        strsim::levenshtein(call.text(0).value(row), call.text(1).value(row))
                            as i64,
                    ))
                })
            },
        }],
    },
    Definition {
        name: "hamming_distance",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    strsim::hamming(call.text(0).value(row), call.text(1).value(row))
                        .map(|distance| Some(distance as i64))
                        .map_err(|_| invalid("The input strings to hamming_distance function must have the same length"))
                })
            },
        }],
    },
    Definition {
        name: "greatest",
        overloads: &[Overload {
            params: &[Any],
            variadic: true,
            returns: Returns::Computed(common_type),
            body: |call| extreme(call, std::cmp::Ordering::Greater),
        }],
    },
    Definition {
        name: "least",
        overloads: &[Overload {
            params: &[Any],
            variadic: true,
            returns: Returns::Computed(common_type),
            body: |call| extreme(call, std::cmp::Ordering::Less),
        }],
    },
];

type Literals<'a> = [Option<&'a datafusion::common::ScalarValue>];

/// `concat` takes texts, binaries or arrays, all of one sort.
fn concat_type(types: &[DataType], _: &Literals<'_>) -> Result<DataType, Error> {
    let known: Vec<&DataType> = types
        .iter()
        .filter(|data_type| !data_type.is_null())
        .collect();
    let all = |accept: fn(&DataType) -> bool| known.iter().all(|data_type| accept(data_type));
    if all(|data_type| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    }) {
        return Ok(DataType::Utf8);
    }
    if all(|data_type| {
        matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    }) {
        return Ok(DataType::Binary);
    }
    if let Some(first @ DataType::List(_)) = known.first()
        && known.iter().all(|data_type| data_type == first)
    {
        return Ok((*first).clone());
    }
    let found: Vec<String> = types.iter().map(sql_name).collect();
    let message = format!(
        "Unexpected parameters ({}) for function concat. Expected: concat(varchar, …), concat(array(E), …), \
         concat(varbinary, …)",
        found.join(", ")
    );
    Err(Error::new(crate::ErrorKind::FunctionNotFound, message))
}

fn concat(call: &Call) -> Result<ArrayRef, Error> {
    let arrow = |error: datafusion::arrow::error::ArrowError| invalid(error.to_string());
    let args: Vec<ArrayRef> = call
        .args
        .iter()
        .map(|arg| datafusion::arrow::compute::cast(arg, &call.returns).map_err(arrow))
        .collect::<Result<_, _>>()?;
    match &call.returns {
        DataType::Utf8 => call.map_text(|row| {
            Ok(Some(
                args.iter()
                    .map(|arg| arg.as_string::<i32>().value(row))
                    .collect(),
            ))
        }),
        DataType::Binary => call.map_bytes(|row| {
            Ok(Some(
                args.iter()
                    .flat_map(|arg| arg.as_binary::<i32>().value(row))
                    .copied()
                    .collect(),
            ))
        }),
        _ => concat_lists(call, &args),
    }
}

fn concat_lists(call: &Call, args: &[ArrayRef]) -> Result<ArrayRef, Error> {
    let arrow = |error: datafusion::arrow::error::ArrowError| invalid(error.to_string());
    let mut rows = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        if call.any_null(row) {
            rows.push(datafusion::arrow::array::new_null_array(&call.returns, 1));
            continue;
        }
        let parts: Vec<ArrayRef> = args
            .iter()
            .map(|arg| arg.as_list::<i32>().value(row))
            .collect();
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let joined = concat_arrays(&parts).map_err(arrow)?;
        let list =
            datafusion::common::utils::SingleRowListArrayBuilder::new(joined).build_list_array();
        rows.push(datafusion::arrow::compute::cast(&list, &call.returns).map_err(arrow)?);
    }
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    concat_arrays(&rows).map_err(arrow)
}

/// Counts from 1, or from the end if the start is negative; a start of 0 or beyond the text gives nothing.
fn substr(call: &Call) -> Result<ArrayRef, Error> {
    call.map_text(|row| {
        let text = call.text(0).value(row);
        let start = call.bigint(1).value(row);
        let length = if call.args.len() > 2 {
            call.bigint(2).value(row)
        } else {
            i64::MAX
        };
        let count = text.chars().count() as i64;
        let from = match start {
            0 => return Ok(Some(String::new())),
            negative if negative < 0 => count + negative,
            positive => positive - 1,
        };
        if from < 0 || from >= count || length <= 0 {
            return Ok(Some(String::new()));
        }
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Some(text.chars().skip(from as usize).take(most).collect()))
    })
}

fn replace(call: &Call) -> Result<ArrayRef, Error> {
    call.map_text(|row| {
        let with = if call.args.len() > 2 {
            call.text(2).value(row)
        } else {
            ""
        };
        Ok(Some(
            call.text(0)
                .value(row)
                .replace(call.text(1).value(row), with),
        ))
    })
}

/// An empty delimiter cuts between all characters.
fn pieces<'a>(text: &'a str, delimiter: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    if delimiter.is_empty() {
        return Box::new(
            text.char_indices()
                .map(move |(start, character)| &text[start..start + character.len_utf8()]),
        );
    }
    Box::new(text.split(delimiter))
}

fn split(call: &Call) -> Result<ArrayRef, Error> {
    call.map_texts(|row| {
        let delimiter = call.text(1).value(row);
        if delimiter.is_empty() {
            return Err(invalid("The delimiter may not be the empty string"));
        }
        let limit = if call.args.len() > 2 {
            call.bigint(2).value(row)
        } else {
            i64::MAX
        };
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| invalid("Limit must be positive"))?;
        let pieces = call.text(0).value(row).splitn(limit, delimiter);
        Ok(Some(pieces.map(|piece| Some(piece.to_owned())).collect()))
    })
}

/// The place of the n-th occurrence, from the end if n is negative; 0 if there is none.
fn strpos(call: &Call) -> Result<ArrayRef, Error> {
    call.map_bigint(|row| {
        let (text, wanted) = (call.text(0).value(row), call.text(1).value(row));
        let nth = if call.args.len() > 2 {
            call.bigint(2).value(row)
        } else {
            1
        };
        if wanted.is_empty() {
            return Ok(Some(1));
        }
        let index = nth.unsigned_abs() as usize;
        let found = match nth {
            0 => return Err(invalid("'instance' must be a positive or negative number.")),
            1.. => text.match_indices(wanted).nth(index - 1),
            _ => text.rmatch_indices(wanted).nth(index - 1),
        };
        Ok(Some(found.map_or(0, |(offset, _)| {
            text[..offset].chars().count() as i64 + 1
        })))
    })
}

fn common_type(types: &[DataType], _: &Literals<'_>) -> Result<DataType, Error> {
    let mut common = DataType::Null;
    for data_type in types {
        common = match (&common, data_type) {
            (DataType::Null, other) => other.clone(),
            (known, DataType::Null) => known.clone(),
            (known, other) if known == other => known.clone(),
            (known, other) if known.is_numeric() && other.is_numeric() => {
                datafusion::logical_expr::binary::binary_numeric_coercion(known, other)
                    .unwrap_or(DataType::Float64)
            }
            (known, other) => {
                let message = format!(
                    "greatest and least need one type, found {} and {}",
                    sql_name(known),
                    sql_name(other)
                );
                return Err(Error::new(crate::ErrorKind::TypeMismatch, message));
            }
        };
    }
    Ok(common)
}

/// The largest or smallest argument; NULL if one of them is.
fn extreme(call: &Call, wanted: std::cmp::Ordering) -> Result<ArrayRef, Error> {
    use datafusion::arrow::array::make_comparator;
    use datafusion::arrow::compute::{SortOptions, interleave};
    let arrow = |error: datafusion::arrow::error::ArrowError| invalid(error.to_string());
    let args: Vec<ArrayRef> = call
        .args
        .iter()
        .map(|arg| datafusion::arrow::compute::cast(arg, &call.returns).map_err(arrow))
        .collect::<Result<_, _>>()?;
    let null = datafusion::arrow::array::new_null_array(&call.returns, 1);
    let mut best = vec![0; call.rows];
    for candidate in 1..args.len() {
        let with_earlier: Vec<_> = args[..candidate]
            .iter()
            .map(|earlier| make_comparator(&args[candidate], earlier, SortOptions::default()))
            .collect::<Result<_, _>>()
            .map_err(arrow)?;
        for (row, best) in best.iter_mut().enumerate() {
            if !call.any_null(row) && with_earlier[*best](row, row) == wanted {
                *best = candidate;
            }
        }
    }
    let mut sources: Vec<&dyn Array> = args.iter().map(AsRef::as_ref).collect();
    sources.push(null.as_ref());
    let picks: Vec<(usize, usize)> = best
        .iter()
        .enumerate()
        .map(|(row, best)| {
            if call.any_null(row) {
                (args.len(), 0)
            } else {
                (*best, row)
            }
        })
        .collect();
    interleave(&sources, &picks).map_err(arrow)
}
