"""What tests share: sessions told in words, virtual time, laws, processes, recordings. No tests here."""
