//! How exactly somebody sees where a member is: a grid over the earth, the same for everybody and for all time. A place is moved to the
//! middle of its square, so that however often it is shown, no more can be learned of it than the square.

use vettid_wire::location::{Position, Precision};

/// All around the earth, in millionths of a degree.
const AROUND_UDEG: i64 = 360_000_000;
const QUARTER_UDEG: i64 = 90_000_000;
const HALF_UDEG: i64 = 180_000_000;

/// Height of a square in millionths of a degree: 900 of them are 100 metres.
fn height_udeg(precision: Precision) -> Option<i64> {
    match precision {
        Precision::Exact => None,
        Precision::HundredMetres => Some(900),
        Precision::Kilometre => Some(9_000),
        Precision::TenKilometres => Some(90_000),
    }
}

/// The place as exactly as it may be shown.
#[must_use]
pub fn coarse(position: Position, precision: Precision) -> Position {
    let Some(height) = height_udeg(precision) else { return position };
    let rows = 2 * QUARTER_UDEG / height;
    let row = ((i64::from(position.latitude_udeg) + QUARTER_UDEG) / height).clamp(0, rows - 1);
    let latitude = row * height + height / 2 - QUARTER_UDEG;
    let columns = columns(latitude, height);
    // 180 degrees east and west are the same line.
    let column = ((i64::from(position.longitude_udeg) + HALF_UDEG) * columns / AROUND_UDEG) % columns;
    let longitude = (2 * column + 1) * AROUND_UDEG / (2 * columns) - HALF_UDEG;
    let udeg = |value: i64| i32::try_from(value).unwrap_or_default();
    Position { latitude_udeg: udeg(latitude), longitude_udeg: udeg(longitude) }
}

/// How many squares of this height lie side by side at this latitude: fewer towards the poles, so that they stay about square.
fn columns(latitude_udeg: i64, height_udeg: i64) -> i64 {
    let (above, below) = cosine(latitude_udeg);
    (AROUND_UDEG * above / (below * height_udeg)).max(1)
}

/// The cosine as a fraction, right to two parts in a thousand (Bhaskara's formula), in whole numbers on every machine alike.
fn cosine(latitude_udeg: i64) -> (i64, i64) {
    const UDEG_IN_CENTIDEGREE: i64 = 10_000;
    let square = (latitude_udeg / UDEG_IN_CENTIDEGREE).pow(2);
    (4 * (81_000_000 - square), 324_000_000 + square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COARSE: [(Precision, f64); 3] =
        [(Precision::HundredMetres, 100.0), (Precision::Kilometre, 1_000.0), (Precision::TenKilometres, 10_000.0)];

    fn place(latitude_udeg: i32, longitude_udeg: i32) -> Position {
        Position { latitude_udeg, longitude_udeg }
    }

    fn anywhere() -> impl Strategy<Value = Position> {
        (-90_000_000..=90_000_000i32, -180_000_000..=180_000_000i32).prop_map(|(lat, lon)| place(lat, lon))
    }

    /// Metres north and east between two places that lie close together.
    fn apart(a: Position, b: Position) -> (f64, f64) {
        let metres = |udeg: i32| f64::from(udeg) * 0.111_32;
        let across = (a.longitude_udeg - b.longitude_udeg).rem_euclid(360_000_000);
        let across = if across > 180_000_000 { across - 360_000_000 } else { across };
        let cosine = (f64::from(b.latitude_udeg) / 1e6).to_radians().cos();
        (metres(a.latitude_udeg - b.latitude_udeg).abs(), metres(across).abs() * cosine)
    }

    #[test]
    fn a_known_place() {
        let berlin = place(52_520_008, 13_404_954);
        assert_eq!(coarse(berlin, Precision::Exact), berlin);
        assert_eq!(coarse(berlin, Precision::Kilometre).latitude_udeg, 52_519_500);
        // Next door is the same square.
        assert_eq!(coarse(place(52_520_300, 13_405_200), Precision::Kilometre), coarse(berlin, Precision::Kilometre));
    }

    proptest! {
        #[test]
        fn a_place_is_moved_within_its_square_and_stays_there(position in anywhere()) {
            for (precision, metres) in COARSE {
                let shown = coarse(position, precision);
                prop_assert!(shown.is_valid());
                let (north, east) = apart(position, shown);
                prop_assert!(north <= 0.51 * metres, "{north} of {metres}");
                // Around the poles a square is a slice.
                if position.latitude_udeg.abs() < 85_000_000 {
                    prop_assert!(east <= 0.52 * metres, "{east} of {metres}");
                }
                prop_assert_eq!(coarse(shown, precision), shown);
            }
        }

        #[test]
        fn however_often_it_is_shown_no_more_is_learned(lat in -800..800i32, lon in -1_700..1_700i32, jitter in proptest::collection::vec((-300..300i32, -300..300i32), 1..50)) {
            // The middle of some square, and what a receiver measures around it.
            let middle = coarse(place(lat * 100_000, lon * 100_000), Precision::HundredMetres);
            for (north, east) in jitter {
                let measured = place(middle.latitude_udeg + north, middle.longitude_udeg + east);
                prop_assert_eq!(coarse(measured, Precision::HundredMetres), middle);
            }
        }
    }
}
