use super::*;

#[test]
fn alerts_are_written_with_their_level_and_read_again() {
    for number in 0..=255 {
        let alert = Alert(number);
        let (level, read) = parse(&encode(alert)).expect("an alert");
        assert_eq!(read, alert);
        let warns = [Alert::CLOSE_NOTIFY, Alert::USER_CANCELED, Alert::NO_RENEGOTIATION].contains(&alert);
        assert_eq!(level == Level::Warning, warns);
    }
    for bytes in [&[][..], &[1], &[0, 0], &[3, 0], &[2, 40, 0]] {
        assert_eq!(parse(bytes), None);
    }
}
