//! Arrays and maps: `contains`, `element_at`, `cardinality`; and `typeof`.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, StringArray, UInt64Array, new_null_array,
};
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::error::{Error, ErrorKind};
use crate::types::sql_name;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Any, Array as AnyArray};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "contains",
        overloads: &[Overload {
            params: &[AnyArray, Any],
            variadic: false,
            returns: Returns::Boolean,
            body: contains,
        }],
    },
    Definition {
        name: "element_at",
        overloads: &[Overload {
            params: &[Any, Any],
            variadic: false,
            returns: Returns::Computed(element_type),
            body: element_at,
        }],
    },
    Definition {
        name: "cardinality",
        overloads: &[Overload {
            params: &[Any],
            variadic: false,
            returns: Returns::Bigint,
            body: cardinality,
        }],
    },
    Definition {
        name: "typeof",
        overloads: &[Overload {
            params: &[Any],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                let name = sql_name(call.args[0].data_type());
                Ok(Arc::new(StringArray::from_iter_values(
                    (0..call.rows).map(|_| &name),
                )))
            },
        }],
    },
];

fn arrow(error: datafusion::arrow::error::ArrowError) -> Error {
    invalid(error.to_string())
}

/// Whether an array has an element. If it has not, but has a NULL, the answer is NULL.
fn contains(call: &Call) -> Result<ArrayRef, Error> {
    let wanted = &call.args[1];
    call.map_boolean(|row| {
        let elements = list_at(&call.args[0], row);
        let wanted = datafusion::arrow::compute::cast(&wanted.slice(row, 1), elements.data_type())
            .map_err(arrow)?;
        let same =
            datafusion::arrow::array::make_comparator(&elements, &wanted, Default::default())
                .map_err(arrow)?;
        let mut unknown = false;
        for index in 0..elements.len() {
            if elements.is_null(index) {
                unknown = true;
            } else if same(index, 0).is_eq() {
                return Ok(Some(true));
            }
        }
        Ok(if unknown { None } else { Some(false) })
    })
}

fn list_at(array: &ArrayRef, row: usize) -> ArrayRef {
    match array.data_type() {
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
        _ => array.as_list::<i32>().value(row),
    }
}

fn element_type(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType, Error> {
    match &types[0] {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)
            if types[1].is_integer() =>
        {
            Ok(field.data_type().clone())
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Ok(fields[1].data_type().clone()),
            other => Err(unexpected(other, &types[1])),
        },
        other => Err(unexpected(other, &types[1])),
    }
}

fn unexpected(first: &DataType, second: &DataType) -> Error {
    let message = format!(
        "Unexpected parameters ({}, {}) for function element_at. Expected: element_at(array(E), bigint), element_at(map(K,V), K)",
        sql_name(first),
        sql_name(second)
    );
    Error::new(ErrorKind::FunctionNotFound, message)
}

/// The element of an array by its place, from the end if negative, or the value of a map's key; NULL if
/// there is none.
fn element_at(call: &Call) -> Result<ArrayRef, Error> {
    let mut found: Vec<ArrayRef> = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let element = if call.any_null(row) {
            None
        } else {
            element(call, row)?
        };
        found.push(element.unwrap_or_else(|| new_null_array(&call.returns, 1)));
    }
    let found: Vec<&dyn Array> = found.iter().map(AsRef::as_ref).collect();
    if found.is_empty() {
        Ok(new_null_array(&call.returns, 0))
    } else {
        concat(&found).map_err(arrow)
    }
}

fn element(call: &Call, row: usize) -> Result<Option<ArrayRef>, Error> {
    let (values, index) = match call.args[0].data_type() {
        DataType::Map(..) => {
            let entries = call.args[0].as_map().value(row);
            let keys = entries.column(0);
            let wanted =
                datafusion::arrow::compute::cast(&call.args[1].slice(row, 1), keys.data_type())
                    .map_err(arrow)?;
            let same = datafusion::arrow::array::make_comparator(keys, &wanted, Default::default())
                .map_err(arrow)?;
            let index = (0..keys.len()).find(|index| same(*index, 0).is_eq());
            (Arc::clone(entries.column(1)), index)
        }
        _ => {
            let elements = list_at(&call.args[0], row);
            let places =
                datafusion::arrow::compute::cast(&call.args[1].slice(row, 1), &DataType::Int64)
                    .map_err(arrow)?;
            let place = places
                .as_primitive::<datafusion::arrow::datatypes::Int64Type>()
                .value(0);
            if place == 0 {
                return Err(invalid("SQL array indices start at 1"));
            }
            let from_start = if place < 0 {
                elements.len() as i64 + place
            } else {
                place - 1
            };
            let index = usize::try_from(from_start)
                .ok()
                .filter(|index| *index < elements.len());
            (elements, index)
        }
    };
    let Some(index) = index else { return Ok(None) };
    take(&values, &UInt64Array::from(vec![index as u64]), None)
        .map(Some)
        .map_err(arrow)
}

fn cardinality(call: &Call) -> Result<ArrayRef, Error> {
    match call.args[0].data_type() {
        DataType::Map(..) => {
            call.map_bigint(|row| Ok(Some(call.args[0].as_map().value(row).len() as i64)))
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            call.map_bigint(|row| Ok(Some(list_at(&call.args[0], row).len() as i64)))
        }
        other => {
            let message = format!(
                "Unexpected parameters ({}) for function cardinality. Expected: cardinality(array(E)), cardinality(map(K,V))",
                sql_name(other)
            );
            Err(Error::new(ErrorKind::FunctionNotFound, message))
        }
    }
}
