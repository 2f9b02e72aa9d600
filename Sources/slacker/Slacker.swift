@main struct Slacker { static func main() {} }
