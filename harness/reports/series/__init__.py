"""What a report shows, as numbers. Pure: no markup is made here. Times are seconds after the first
phase began.
"""
