//! Filters in the Common Query Language (OGC 21-065r2), as text or as JSON.
//!
//! Both forms are read into one tree, which only knows the properties that items or
//! collections have; what it cannot mean is refused with the place where it is. Written here, because the one
//! library for it brings a SQL parser, a JSON Schema validator and five minutes of compiling.

use super::geometry::Shape;
use super::properties::{Kind, Property, Queryables};

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Is(bool),
    Compare(Comparison, Scalar, Scalar),
    /// `%` is any run of characters, `_` one; `\` takes the next as it is.
    Like(Scalar, Scalar),
    Between(Scalar, Scalar, Scalar),
    In(Scalar, Vec<Scalar>),
    IsNull(Scalar),
    /// The footprint and a shape.
    Spatial(Spatial, Shape),
    Temporal(Temporal, Span, Span),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn parse(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Relations of two geometries (DE-9IM).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spatial {
    Intersects,
    Disjoint,
    Within,
    Contains,
    Equals,
    Touches,
    Crosses,
    Overlaps,
}

impl Spatial {
    /// In the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Intersects,
        Self::Disjoint,
        Self::Within,
        Self::Contains,
        Self::Equals,
        Self::Touches,
        Self::Crosses,
        Self::Overlaps,
    ];

    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "s_intersects" => Self::Intersects,
            "s_disjoint" => Self::Disjoint,
            "s_within" => Self::Within,
            "s_contains" => Self::Contains,
            "s_equals" => Self::Equals,
            "s_touches" => Self::Touches,
            "s_crosses" => Self::Crosses,
            "s_overlaps" => Self::Overlaps,
            _ => return None,
        })
    }

    /// The same, said of the two in the other order.
    pub fn turned(self) -> Self {
        match self {
            Self::Within => Self::Contains,
            Self::Contains => Self::Within,
            other => other,
        }
    }
}

/// Relations of two intervals (Allen), and their union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporal {
    After,
    Before,
    Contains,
    Disjoint,
    During,
    Equals,
    FinishedBy,
    Finishes,
    Intersects,
    Meets,
    MetBy,
    OverlappedBy,
    Overlaps,
    StartedBy,
    Starts,
}

impl Temporal {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "t_after" => Self::After,
            "t_before" => Self::Before,
            "t_contains" => Self::Contains,
            "t_disjoint" => Self::Disjoint,
            "t_during" => Self::During,
            "t_equals" => Self::Equals,
            "t_finishedby" => Self::FinishedBy,
            "t_finishes" => Self::Finishes,
            "t_intersects" => Self::Intersects,
            "t_meets" => Self::Meets,
            "t_metby" => Self::MetBy,
            "t_overlappedby" => Self::OverlappedBy,
            "t_overlaps" => Self::Overlaps,
            "t_startedby" => Self::StartedBy,
            "t_starts" => Self::Starts,
            _ => return None,
        })
    }
}

/// From an instant to one that is not before it; the same for an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Span(pub Scalar, pub Scalar);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Property(&'static Property),
    Text(String),
    Number(f64),
    Bool(bool),
    /// Seconds since 1970; open ends are infinite.
    Time(f64),
    /// Without regard to case.
    Folded(Box<Scalar>),
    Arithmetic(Arithmetic, Box<Scalar>, Box<Scalar>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// Quotient without its fraction.
    Quotient,
    Remainder,
    Power,
}

impl Arithmetic {
    pub fn parse(sign: &str) -> Option<Self> {
        Some(match sign.to_ascii_lowercase().as_str() {
            "+" => Self::Add,
            "-" => Self::Subtract,
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "div" => Self::Quotient,
            "%" => Self::Remainder,
            "^" => Self::Power,
            _ => return None,
        })
    }
}

impl Scalar {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Property(p) => p.kind,
            Self::Text(_) | Self::Folded(_) => Kind::Text,
            Self::Number(_) | Self::Arithmetic(..) => Kind::Number,
            Self::Bool(_) => Kind::Bool,
            Self::Time(_) => Kind::Time,
        }
    }

    /// Of this kind, or of none.
    pub fn may_be(&self, kind: Kind) -> bool {
        matches!(self.kind(), k if k == kind || k == Kind::Nothing)
    }

    /// Beside a value of another kind: a text may say an instant.
    fn beside(self, other: Kind) -> Result<Self, String> {
        match (&self, other) {
            (Self::Text(t), Kind::Time) => {
                super::instants::instant(t).or_else(|| super::instants::date(t)).map(Self::Time).ok_or_else(
                    || format!("{:?} is no instant such as 2020-01-31T12:00:00Z", super::properties::cut(t)),
                )
            }
            _ => Ok(self),
        }
    }
}

/// Two values that can be compared.
///
/// # Errors
/// They are of different kinds.
pub fn comparable(a: Scalar, b: Scalar) -> Result<(Scalar, Scalar), String> {
    let (ka, kb) = (a.kind(), b.kind());
    let (a, b) = (a.beside(kb)?, b.beside(ka)?);
    let word = |k: Kind| match k {
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Time => "an instant",
        Kind::Bool => "true or false",
        Kind::Geometry => "a geometry",
        Kind::Nothing => "nothing",
    };
    match (a.kind(), b.kind()) {
        (Kind::Geometry, _) | (_, Kind::Geometry) => {
            Err("a geometry is compared by S_INTERSECTS and the other spatial functions".to_owned())
        }
        (x, y) if x == y || x == Kind::Nothing || y == Kind::Nothing => Ok((a, b)),
        (x, y) => Err(format!("{} cannot be compared with {}", word(x), word(y))),
    }
}

impl Expr {
    /// # Errors
    /// Where the text cannot be understood, and what was expected there.
    pub fn from_text(of: &'static Queryables, text: &str) -> Result<Self, String> {
        super::text::parse(of, text)?.checked()
    }

    /// # Errors
    /// Which member cannot be understood, and what was expected.
    pub fn from_json(of: &'static Queryables, value: &serde_json::Value) -> Result<Self, String> {
        super::json::parse(of, value, 0)?.checked()
    }

    /// Itself, where the catalog can answer it.
    ///
    /// # Errors
    /// Which bound it exceeds.
    pub fn checked(self) -> Result<Self, String> {
        super::bounds::check(&self)?;
        Ok(self)
    }

    /// Whether footprints are related to a shape one by one.
    pub fn has_shape(&self) -> bool {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().any(Self::has_shape),
            Self::Not(inner) => inner.has_shape(),
            Self::Spatial(..) => true,
            _ => false,
        }
    }
}
