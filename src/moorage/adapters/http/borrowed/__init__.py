"""HTTP clients that send through a client of another library, such as the application's."""
