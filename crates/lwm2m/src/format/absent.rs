//! Stands in for formats that are not built in: types without values, so that the code that would use them goes, too.

#[cfg(not(feature = "senml-json"))]
pub(super) mod senml_json {
    use crate::Path;
    use crate::format::senml::{BaseNames, Content, Names};
    use crate::format::{EncodeError, Entry, FormatError};
    use core::convert::Infallible;

    #[derive(Clone, Debug)]
    pub(in crate::format) struct Decoder<'a> {
        pub(in crate::format) names: Names<'a>,
        pub(in crate::format) fetch: bool,
        never: Infallible,
    }

    impl<'a> Decoder<'a> {
        pub(in crate::format) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
            match self.never {}
        }
    }

    #[derive(Debug)]
    pub(in crate::format) struct Encoder<'b> {
        pub(in crate::format) names: BaseNames<'b>,
        never: Infallible,
    }

    impl Encoder<'_> {
        pub(in crate::format) fn add(
            &mut self,
            _: Path,
            _: Content<'_>,
            _: Option<f64>,
        ) -> Result<(), EncodeError> {
            match self.never {}
        }

        pub(in crate::format) fn finish(self) -> Result<usize, EncodeError> {
            match self.never {}
        }
    }
}

#[cfg(not(feature = "lwm2m-cbor"))]
pub(super) mod lwm2m_cbor {
    use crate::format::senml::Names;
    use crate::format::{EncodeError, Entry, FormatError};
    use crate::{ObjectInstanceId, Path, Value};
    use core::{convert::Infallible, marker::PhantomData};

    #[derive(Clone, Debug)]
    pub(in crate::format) struct Decoder<'a> {
        pub(in crate::format) names: Names<'a>,
        pub(in crate::format) assigned: Option<ObjectInstanceId>,
        never: Infallible,
    }

    impl<'a> Decoder<'a> {
        pub(in crate::format) fn advance(&mut self) -> Option<Result<Entry<'a>, FormatError>> {
            match self.never {}
        }
    }

    #[derive(Debug)]
    pub(in crate::format) struct Encoder<'b> {
        pub(in crate::format) instance_open: bool,
        never: (Infallible, PhantomData<&'b ()>),
    }

    impl Encoder<'_> {
        pub(in crate::format) fn add(&mut self, _: Path, _: &Value<'_>) -> Result<(), EncodeError> {
            match self.never.0 {}
        }

        pub(in crate::format) fn finish(self) -> Result<usize, EncodeError> {
            match self.never.0 {}
        }
    }
}
