//! The shapes of the messages about consumer groups.

use super::{BLOB, BOOL, Field, I8, I16, I32, I32_ARRAY, I64, Kind, Shape, Struct, TEXT, TEXT_ARRAY, UUID};

pub(super) static FIND_COORDINATOR_REQUEST: Shape = shape!(3, TEXT.until(3), I8.since(1), TEXT_ARRAY.since(4));
pub(super) static JOIN_GROUP_REQUEST: Shape =
    shape!(6, TEXT, I32, I32.since(1), TEXT, TEXT.since(5), TEXT, array!(TEXT, BLOB), TEXT.since(8));
pub(super) static SYNC_GROUP_REQUEST: Shape =
    shape!(4, TEXT, I32, TEXT, TEXT.since(3), TEXT.since(5), TEXT.since(5), array!(TEXT, BLOB));
pub(super) static HEARTBEAT_REQUEST: Shape = shape!(4, TEXT, I32, TEXT, TEXT.since(3));
pub(super) static LEAVE_GROUP_REQUEST: Shape =
    shape!(4, TEXT, TEXT.until(2), array!(TEXT, TEXT, TEXT.since(5)).since(3));
pub(super) static OFFSET_COMMIT_REQUEST: Shape = shape!(
    8,
    TEXT,
    I32.since(1),
    TEXT.since(1),
    TEXT.since(7),
    I64.since(2).until(4),
    array!(TEXT, array!(I32, I64, I32.since(6), TEXT))
);
pub(super) static OFFSET_FETCH_REQUEST: Shape = shape!(
    6,
    TEXT.until(7),
    array!(TEXT, I32_ARRAY).until(7),
    array!(TEXT, TEXT.since(9), I32.since(9), array!(TEXT, I32_ARRAY)).since(8),
    BOOL.since(7)
);
pub(super) static OFFSET_DELETE_REQUEST: Shape = shape!(32_767, TEXT, array!(TEXT, array!(I32)));
pub(super) static DELETE_GROUPS_REQUEST: Shape = shape!(2, TEXT_ARRAY);
pub(super) static DESCRIBE_GROUPS_REQUEST: Shape = shape!(5, TEXT_ARRAY, BOOL.since(3));
pub(super) static LIST_GROUPS_REQUEST: Shape = shape!(3, TEXT_ARRAY.since(4), TEXT_ARRAY.since(5));
pub(super) static CONSUMER_GROUP_HEARTBEAT_REQUEST: Shape =
    shape!(0, TEXT, TEXT, I32, TEXT, TEXT, I32, TEXT_ARRAY, TEXT.since(1), TEXT, array!(UUID, I32_ARRAY));
pub(super) static CONSUMER_GROUP_DESCRIBE_REQUEST: Shape = shape!(0, TEXT_ARRAY, BOOL);

pub(super) static FIND_COORDINATOR_RESPONSE: Shape = shape!(
    3,
    I32.since(1),
    I16.until(3),
    TEXT.since(1).until(3),
    I32.until(3),
    TEXT.until(3),
    I32.until(3),
    array!(TEXT, I32, TEXT, I32, I16, TEXT).since(4)
);
pub(super) static JOIN_GROUP_RESPONSE: Shape = shape!(
    6,
    I32.since(2),
    I16,
    I32,
    TEXT.since(7),
    TEXT,
    TEXT,
    BOOL.since(9),
    TEXT,
    array!(TEXT, TEXT.since(5), BLOB)
);
pub(super) static SYNC_GROUP_RESPONSE: Shape = shape!(4, I32.since(1), I16, TEXT.since(5), TEXT.since(5), BLOB);
pub(super) static HEARTBEAT_RESPONSE: Shape = shape!(4, I32.since(1), I16);
pub(super) static LEAVE_GROUP_RESPONSE: Shape = shape!(4, I32.since(1), I16, array!(TEXT, TEXT, I16).since(3));
pub(super) static OFFSET_COMMIT_RESPONSE: Shape = shape!(8, I32.since(3), array!(TEXT, array!(I32, I16)));
pub(super) static OFFSET_FETCH_RESPONSE: Shape = shape!(
    6,
    I32.since(3),
    array!(TEXT, array!(I32, I64, I32.since(5), TEXT, I16)).until(7),
    I16.since(2).until(7),
    array!(TEXT, array!(TEXT, array!(I32, I64, I32, TEXT, I16)), I16).since(8)
);
pub(super) static OFFSET_DELETE_RESPONSE: Shape = shape!(32_767, I16, I32, array!(TEXT, array!(I32, I16)));
pub(super) static DELETE_GROUPS_RESPONSE: Shape = shape!(2, I32, array!(TEXT, I16));
pub(super) static DESCRIBE_GROUPS_RESPONSE: Shape = shape!(
    5,
    I32.since(1),
    array!(
        I16,
        TEXT.since(6),
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        array!(TEXT, TEXT.since(4), TEXT, TEXT, BLOB, BLOB),
        I32.since(3)
    )
);
pub(super) static LIST_GROUPS_RESPONSE: Shape =
    shape!(3, I32.since(1), I16, array!(TEXT, TEXT, TEXT.since(4), TEXT.since(5)));
pub(super) static CONSUMER_GROUP_HEARTBEAT_RESPONSE: Shape =
    shape!(0, I32, I16, TEXT, TEXT, I32, I32, nullable!(array!(UUID, I32_ARRAY)));
pub(super) static CONSUMER_GROUP_DESCRIBE_RESPONSE: Shape = shape!(
    0,
    I32,
    array!(
        I16,
        TEXT,
        TEXT,
        TEXT,
        I32,
        I32,
        TEXT,
        array!(
            TEXT,
            TEXT,
            TEXT,
            I32,
            TEXT,
            TEXT,
            TEXT_ARRAY,
            TEXT,
            nested!(array!(UUID, TEXT, I32_ARRAY)),
            nested!(array!(UUID, TEXT, I32_ARRAY)),
            I8.since(1)
        ),
        I32
    )
);
