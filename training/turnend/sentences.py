"""What the talkers of the set say: whole turns as people speak them to a machine, of one clause and of several."""

from __future__ import annotations

_TEXT = """
I would like to book a table for four people on Friday evening.
Could you tell me when the next train to Leeds is leaving?
Please turn off the lights in the kitchen and the hall.
My order number is seven four two nine one.
What time do you close on Sundays?
I lost my card yesterday, and I need a new one.
Can I have the large one without onions, please?
The heating in my room does not work.
How long does it take to get to the airport by bus?
Set an alarm for half past six tomorrow morning.
I think the second one was better than the first.
Is there a pharmacy anywhere near the station?
We would prefer a room with a view of the garden.
Remind me to call my sister when I get home.
It was working fine until I installed the update.
Do you have this shirt in a smaller size?
Send the invoice to my office instead of my house.
I have been waiting for my parcel since last Tuesday.
Which platform does the express to London go from?
Play something quiet, I am trying to read.
No, I never received the message you are talking about.
The doctor said that I should come back in two weeks.
Where can I leave my luggage for a couple of hours?
Add two bottles of milk and some bread to the list.
I am calling about the flat you advertised in the paper.
Would it be possible to change the delivery address?
She told me that the meeting had been moved to Thursday.
How much does a ticket for two children cost?
Please connect me with somebody in the sales department.
If it rains tomorrow, we will stay at home.
I cannot find the button that starts the machine.
Does the museum open before ten in the morning?
We are three adults and one child.
Tell my brother that I will be late for dinner.
The front door was open when I came back.
What is the weather going to be like this weekend?
I paid for it last month with my credit card.
Can you repeat the last part of the address?
There is something wrong with the screen of my phone.
Make it a little warmer in here, please.
I would rather have tea than coffee.
Why was my payment refused at the counter?
My name is Martin Foster and I live in York.
The bill you sent me is higher than I expected.
Could we sit at a table outside?
Cancel my appointment for Monday afternoon.
I bought these shoes here, but they are too tight.
Who is in charge of the building today?
Start the washing machine at nine o'clock.
There were about twenty people in front of me.
Is breakfast included in the price of the room?
I want to speak to a person, not to a machine.
When will the technician arrive at our place?
Take the first road on the left after the bridge.
The number you are looking for is on the back of the card.
Can I bring my dog with me on the ferry?
I have already told this to your colleague.
Open the window in the bedroom for ten minutes.
We need a car for three days from next Wednesday.
Are there any seats left for the late show?
My password does not work any more.
He asked me whether I could help him with the boxes.
What do I have to do if I miss my connection?
Order the same as last time.
The soup was cold and nobody came to our table.
How do I get from here to the old market?
I will take the blue one, thank you very much.
Please read me the headlines of this morning.
The key is under the pot beside the gate.
Can you hear me now?
We moved to a new house at the end of March.
I need a doctor who speaks German.
Did anybody find a black umbrella in the waiting room?
Turn the volume down a bit.
My flight was cancelled because of the storm.
What happens to my data when I close the account?
I am looking for a present for my grandmother.
Call the restaurant and say that we are coming later.
It hurts when I bend my left knee.
Are you open on public holidays?
The package was damaged when it arrived.
Let me know as soon as the results are ready.
Where did you put the keys to the cellar?
I would like to know how many points I have left.
Show me the cheapest way to get to Paris.
After the meeting, I drove straight back to the hotel.
Do I need a visa to travel to Canada?
Give me a moment to find my glasses.
The other driver did not stop at the light.
Can we pay separately?
I have two suitcases and a small bag.
Stop the music in the living room.
It is the third house on the right side.
How many calories are there in a slice of this cake?
The battery is empty after less than an hour.
Would you like to come with us to the concert?
I forgot to switch off the oven.
Please write that down for me.
The children are already asleep upstairs.
Which of these two plans is cheaper for me?
Yes, that would be fine.
No, thank you.
Tomorrow at eight.
Two coffees, please.
That is correct.
I do not know.
Not today.
Yes, please.
Only one.
Go ahead.
What was that?
The green one.
Maybe later.
Good morning.
Sounds good to me.
At the main station.
Of course.
Thank you, goodbye.
"""

_TEST_TEXT = """
My sister wants to swap her seat with somebody near the window.
Have you got a charger that fits this camera?
The lift has been stuck between two floors for an hour.
I need a taxi to the harbour at a quarter to five.
Where do the buses to the university stop?
Put a reminder in my calendar for the dentist.
He never answered the letter that we wrote in spring.
Can I still get a refund for the broken kettle?
There is a strange noise coming from the engine.
Book me a haircut with Daniel on Saturday.
Was the match yesterday worth watching?
They closed the swimming pool because of the frost.
I would like a sandwich with cheese and a lemonade.
Does this medicine make people sleepy?
The password has to contain a number and a capital letter.
Please move my reservation to the following night.
When did you last speak to your neighbour?
We ran out of paper in the copy room.
My grandfather used to repair clocks in that workshop.
Could somebody bring a second blanket to room twelve?
You can leave the keys with the porter.
What was the name of that singer again?
I prefer to travel overnight, it saves a hotel.
How far is it to the nearest petrol station?
Tell me a story about a dragon.
The contract ends in November.
Never mind.
Yes, on Wednesday.
Around midnight.
Without sugar.
"""

SENTENCES = tuple(_TEXT.strip().splitlines())
TEST_SENTENCES = tuple(_TEST_TEXT.strip().splitlines())
FILLERS = ("uhm", "umm", "um", "uh", "er", "erm", "ehm", "hmm", "aah", "uhh")
"""Spoken slowly and on one note."""
LINKS = ("and", "but", "so", "because", "the", "to", "with", "I", "or", "a")
"""Words that promise more, between what was said and the filler."""
