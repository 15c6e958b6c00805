//! The frame that every scalar function of ours fills: overloads, their types, and a body over arrays.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use crate::error::{Error, ErrorKind};
use crate::types::sql_name;

/// What an argument may be. Arguments are converted to the type named here before the body sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    /// Text, as Utf8.
    Varchar,
    /// Any whole number, as Int64.
    Bigint,
    /// Any number, as Float64.
    Double,
    /// Any timestamp or date, as Timestamp in milliseconds, with its zone if it has one.
    Timestamp,
    Varbinary,
    /// Any array; as it is.
    Array,
    Any,
}

/// The type of a function's result.
#[derive(Clone, Copy)]
pub(super) enum Returns {
    Varchar,
    Bigint,
    Double,
    Boolean,
    Varbinary,
    Date,
    Timestamp,
    /// A timestamp in UTC that knows its zone.
    TimestampUtc,
    VarcharArray,
    /// The type of an argument, after its conversion.
    SameAs(usize),
    /// Follows from the types of the arguments and from those of them that are literals.
    Computed(fn(&[DataType], &[Option<&ScalarValue>]) -> Result<DataType, Error>),
}

/// One way to call a function.
pub(super) struct Overload {
    pub params: &'static [Param],
    /// Whether the last parameter may be repeated.
    pub variadic: bool,
    pub returns: Returns,
    pub body: fn(&Call) -> Result<ArrayRef, Error>,
}

/// A function: its name and the ways to call it.
pub(super) struct Definition {
    pub name: &'static str,
    pub overloads: &'static [Overload],
}

/// The arguments of one call over a batch.
pub(super) struct Call {
    pub args: Vec<ArrayRef>,
    pub rows: usize,
    pub returns: DataType,
}

impl Call {
    pub(super) fn text(&self, index: usize) -> &StringArray {
        self.args[index].as_string::<i32>()
    }

    pub(super) fn bigint(&self, index: usize) -> &Int64Array {
        self.args[index].as_primitive::<Int64Type>()
    }

    pub(super) fn double(&self, index: usize) -> &Float64Array {
        self.args[index].as_primitive::<Float64Type>()
    }

    /// Whether any argument of a row is NULL, which makes most results NULL.
    pub(super) fn any_null(&self, row: usize) -> bool {
        self.args.iter().any(|arg| arg.is_null(row))
    }

    /// The values that `value` gives for the rows without a NULL among their arguments.
    fn rows<T>(
        &self,
        mut value: impl FnMut(usize) -> Result<Option<T>, Error>,
    ) -> impl Iterator<Item = Result<Option<T>, Error>> {
        (0..self.rows).map(move |row| {
            if self.any_null(row) {
                Ok(None)
            } else {
                value(row)
            }
        })
    }

    pub(super) fn map_text(
        &self,
        value: impl FnMut(usize) -> Result<Option<String>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: StringArray = self.rows(value).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    pub(super) fn map_bigint(
        &self,
        value: impl FnMut(usize) -> Result<Option<i64>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: Int64Array = self.rows(value).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    pub(super) fn map_double(
        &self,
        value: impl FnMut(usize) -> Result<Option<f64>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: Float64Array = self.rows(value).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    pub(super) fn map_boolean(
        &self,
        value: impl FnMut(usize) -> Result<Option<bool>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: BooleanArray = self.rows(value).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    pub(super) fn map_bytes(
        &self,
        value: impl FnMut(usize) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: datafusion::arrow::array::BinaryArray =
            self.rows(value).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    /// Timestamps in milliseconds, with the zone of the result's type.
    pub(super) fn map_millis(
        &self,
        value: impl FnMut(usize) -> Result<Option<i64>, Error>,
    ) -> Result<ArrayRef, Error> {
        let values: datafusion::arrow::array::TimestampMillisecondArray =
            self.rows(value).collect::<Result<_, _>>()?;
        let zone = match &self.returns {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Ok(Arc::new(values.with_timezone_opt(zone)))
    }

    pub(super) fn map_texts(
        &self,
        mut value: impl FnMut(usize) -> Result<Option<Vec<Option<String>>>, Error>,
    ) -> Result<ArrayRef, Error> {
        let mut builder = datafusion::arrow::array::ListBuilder::new(
            datafusion::arrow::array::StringBuilder::new(),
        );
        for row in 0..self.rows {
            let texts = if self.any_null(row) {
                None
            } else {
                value(row)?
            };
            builder.append_option(texts);
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// The error for an argument's value that a function does not take.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidFunctionArgument, message)
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A function of ours as DataFusion wants it.
pub(super) fn udf(definition: &'static Definition) -> ScalarUDF {
    let signature = Signature::one_of(
        vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
        Volatility::Immutable,
    );
    ScalarUDF::new_from_impl(OurFunction {
        definition,
        signature,
    })
}

struct OurFunction {
    definition: &'static Definition,
    /// Takes everything: [`OurFunction::resolve`] chooses the overload, in Trino's words if there is none.
    signature: Signature,
}

impl OurFunction {
    fn resolve(&self, types: &[DataType]) -> Result<&'static Overload, Error> {
        let fits = |overload: &&Overload| {
            let counted = if overload.variadic {
                types.len() >= overload.params.len()
            } else {
                types.len() == overload.params.len()
            };
            counted
                && types
                    .iter()
                    .enumerate()
                    .all(|(index, found)| overload.param(index).takes(found))
        };
        self.definition.overloads.iter().find(fits).ok_or_else(|| {
            let found: Vec<String> = types.iter().map(sql_name).collect();
            let expected: Vec<String> = self
                .definition
                .overloads
                .iter()
                .map(|overload| overload.describe(self.definition.name))
                .collect();
            let message = format!(
                "Unexpected parameters ({}) for function {}. Expected: {}",
                found.join(", "),
                self.definition.name,
                expected.join(", ")
            );
            Error::new(ErrorKind::FunctionNotFound, message)
        })
    }
}

impl Overload {
    fn param(&self, index: usize) -> Param {
        self.params
            .get(index)
            .or(self.params.last())
            .copied()
            .unwrap_or(Param::Any)
    }

    fn describe(&self, name: &str) -> String {
        let params: Vec<&str> = self.params.iter().map(|param| param.name()).collect();
        format!(
            "{name}({}{})",
            params.join(", "),
            if self.variadic { ", …" } else { "" }
        )
    }
}

impl Param {
    fn takes(self, data_type: &DataType) -> bool {
        let text = matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        let bytes = matches!(
            data_type,
            DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
        );
        match self {
            Param::Any => true,
            _ if data_type.is_null() => true,
            Param::Varchar => text,
            Param::Bigint => data_type.is_integer(),
            Param::Double => data_type.is_numeric(),
            Param::Timestamp => {
                matches!(
                    data_type,
                    DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
                )
            }
            Param::Varbinary => bytes,
            Param::Array => matches!(
                data_type,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
            ),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Param::Varchar => "varchar",
            Param::Bigint => "bigint",
            Param::Double => "double",
            Param::Timestamp => "timestamp",
            Param::Varbinary => "varbinary",
            Param::Array => "array(E)",
            Param::Any => "T",
        }
    }

    /// The type that the body sees.
    fn converted(self, data_type: &DataType) -> DataType {
        match (self, data_type) {
            (Param::Varchar, _) => DataType::Utf8,
            (Param::Bigint, _) => DataType::Int64,
            (Param::Double, _) => DataType::Float64,
            (Param::Timestamp, DataType::Timestamp(_, zone)) => {
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
            }
            (Param::Timestamp, _) => DataType::Timestamp(TimeUnit::Millisecond, None),
            (Param::Varbinary, _) => DataType::Binary,
            (Param::Array | Param::Any, other) => other.clone(),
        }
    }
}

impl Returns {
    fn data_type(
        self,
        types: &[DataType],
        literals: &[Option<&ScalarValue>],
    ) -> Result<DataType, Error> {
        Ok(match self {
            Returns::Varchar => DataType::Utf8,
            Returns::Bigint => DataType::Int64,
            Returns::Double => DataType::Float64,
            Returns::Boolean => DataType::Boolean,
            Returns::Varbinary => DataType::Binary,
            Returns::Date => DataType::Date32,
            Returns::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Returns::TimestampUtc => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Returns::VarcharArray => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
            }
            Returns::SameAs(index) => types[index].clone(),
            Returns::Computed(compute) => compute(types, literals)?,
        })
    }
}

impl std::fmt::Debug for OurFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.definition.name)
    }
}

impl PartialEq for OurFunction {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for OurFunction {}

impl Hash for OurFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for OurFunction {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let overload = self.resolve(types).map_err(external)?;
        let converted = converted_types(overload, types);
        overload
            .returns
            .data_type(&converted, &vec![None; types.len()])
            .map_err(external)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let overload = self.resolve(&types).map_err(external)?;
        let converted = converted_types(overload, &types);
        let data_type = overload
            .returns
            .data_type(&converted, args.scalar_arguments)
            .map_err(external)?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let overload = self.resolve(&types).map_err(external)?;
        let constant = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        // One row is enough if it is the same for all.
        let rows = if constant { 1 } else { args.number_rows };
        let mut arrays = Vec::with_capacity(args.args.len());
        for (arg, wanted) in args.args.iter().zip(converted_types(overload, &types)) {
            let array = arg.to_array(rows)?;
            arrays.push(if *array.data_type() == wanted {
                array
            } else {
                cast(&array, &wanted)?
            });
        }
        let call = Call {
            args: arrays,
            rows,
            returns: args.return_field.data_type().clone(),
        };
        let result = (overload.body)(&call).map_err(external)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn converted_types(overload: &Overload, types: &[DataType]) -> Vec<DataType> {
    types
        .iter()
        .enumerate()
        .map(|(index, found)| overload.param(index).converted(found))
        .collect()
}
