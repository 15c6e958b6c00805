//! Hive's statements as data.

use crate::error::Position;
use crate::types::HiveType;

/// A possibly qualified name, lower-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    /// `awsdatacatalog` in `awsdatacatalog.db.t`.
    pub catalog: Option<String>,
    pub database: Option<String>,
    pub name: String,
    pub position: Position,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnDef {
    pub name: String,
    pub hive_type: HiveType,
    pub comment: Option<String>,
    pub position: Position,
}

/// Keys and values of `TBLPROPERTIES`, `SERDEPROPERTIES` and `DBPROPERTIES`, as written.
pub(crate) type Properties = Vec<(String, String)>;

/// `(k = 'v', …)` of one partition, in the order written.
pub(crate) type PartitionSpec = Vec<(String, String)>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delimiters {
    pub field: Option<String>,
    pub escape: Option<String>,
    pub collection: Option<String>,
    pub map_key: Option<String>,
    pub line: Option<String>,
    pub null: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowFormat {
    SerDe { class: String },
    Delimited(Delimiters),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoredAs {
    Format(String),
    Classes { input: String, output: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CreateTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    pub comment: Option<String>,
    pub partitioned_by: Vec<ColumnDef>,
    pub row_format: Option<RowFormat>,
    pub serde_properties: Properties,
    pub stored_as: Option<StoredAs>,
    pub location: Option<(String, Position)>,
    pub properties: Properties,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPartition {
    pub spec: PartitionSpec,
    pub location: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AlterTable {
    AddPartitions {
        if_not_exists: bool,
        partitions: Vec<NewPartition>,
    },
    DropPartitions {
        if_exists: bool,
        specs: Vec<PartitionSpec>,
    },
    RenamePartition {
        from: PartitionSpec,
        to: PartitionSpec,
    },
    SetLocation {
        partition: Option<PartitionSpec>,
        location: String,
    },
    SetProperties(Properties),
    AddColumns(Vec<ColumnDef>),
    ReplaceColumns(Vec<ColumnDef>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HiveStatement {
    CreateTable(Box<CreateTable>),
    CreateDatabase {
        name: String,
        if_not_exists: bool,
        comment: Option<String>,
        location: Option<String>,
        properties: Properties,
    },
    DropTable {
        name: ObjectName,
        if_exists: bool,
    },
    DropView {
        name: ObjectName,
        if_exists: bool,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    ShowDatabases {
        pattern: Option<String>,
    },
    ShowTables {
        database: Option<String>,
        pattern: Option<String>,
    },
    ShowViews {
        database: Option<String>,
        pattern: Option<String>,
    },
    ShowColumns {
        table: ObjectName,
    },
    ShowPartitions {
        table: ObjectName,
    },
    ShowCreateTable {
        table: ObjectName,
    },
    ShowCreateView {
        view: ObjectName,
    },
    ShowProperties {
        table: ObjectName,
        key: Option<String>,
    },
    Describe {
        table: ObjectName,
        column: Option<String>,
        detailed: bool,
    },
    RepairTable {
        table: ObjectName,
    },
    AlterTable {
        table: ObjectName,
        action: AlterTable,
    },
}
