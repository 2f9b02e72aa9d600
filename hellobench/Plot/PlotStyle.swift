// SPDX-License-Identifier: Apache-2.0

/// Colours and lines of all pictures, for light and for dark surroundings.
///
/// The colours are after those of Okabe and Ito, which people with any kind of colour blindness tell apart; for dark
/// surroundings they are lighter. Lines differ in their dashes as well, and every bar says in words what it is.
enum PlotStyle {
    static let seriesCount = 8

    private static let light = Theme(
        background: "#ffffff", text: "#1c1e21", muted: "#5c6470", grid: "#e3e6ea",
        series: ["#0072b2", "#d55e00", "#009e73", "#b5518c", "#b88600", "#3a9bd6", "#6b7280", "#7a4fbf"])
    private static let dark = Theme(
        background: "#15181c", text: "#e8eaed", muted: "#a3abb5", grid: "#30363d",
        series: ["#4aa8e8", "#f5894a", "#2fc49a", "#e58bc0", "#e3b341", "#8fd0f7", "#9aa3ae", "#b79bf0"])
    private static let dashes = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4", "6 2 1 2 1 2"]

    private struct Theme {
        let background: String
        let text: String
        let muted: String
        let grid: String
        let series: [String]

        var rules: String {
            var lines = [
                ".plot .bg{fill:\(background)}", ".plot text{fill:\(text);stroke:\(background)}",
                ".plot .muted{fill:\(muted)}",
                ".plot .grid{stroke:\(grid)}", ".plot .axis{stroke:\(muted)}",
                ".plot .gap{stroke:\(background)}",
            ]
            for (index, color) in series.enumerated() {
                lines.append(".plot .f\(index){fill:\(color)}")
                lines.append(".plot .s\(index){stroke:\(color)}")
            }
            return lines.joined()
        }
    }

    /// What a standalone picture has inside, and a page once for all its pictures.
    static var sheet: String {
        let shapes = [
            ".plot text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}",
            // A rim of the background's colour keeps words apart from lines behind them.
            ".plot text{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}",
            ".plot .strong{font-weight:600}", ".plot .title{font-size:15px;font-weight:600}",
            ".plot .line{fill:none;stroke-width:2;stroke-linejoin:round}",
            ".plot .thin{stroke-width:1;stroke-opacity:.45}",
            ".plot .grid,.plot .axis{stroke-width:1;fill:none}", ".plot .target{stroke-dasharray:4 3}",
            ".plot .gap{stroke-width:1}",
        ]
        let lines = dashes.enumerated().filter { !$0.element.isEmpty }
            .map { ".plot .d\($0.offset){stroke-dasharray:\($0.element)}" }
        return (shapes + lines).joined() + light.rules
            + "@media (prefers-color-scheme:dark){\(dark.rules)}"
    }

    static func fill(_ series: Int) -> String { "f\(series % seriesCount)" }

    static func solidLine(_ series: Int) -> String { "line s\(series % seriesCount)" }

    static func line(_ series: Int) -> String { solidLine(series) + " d\(series % seriesCount)" }
}
